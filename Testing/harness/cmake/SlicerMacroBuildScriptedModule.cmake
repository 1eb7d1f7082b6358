# slicerMacroBuildScriptedModule(NAME m SCRIPTS ... RESOURCES ... [WITH_GENERIC_TESTS] [WITH_SUBDIR])
# A scripted module: its files go into the one flat folder of scripted modules; a file that does not exist is refused.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_SLICER_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: unknown arguments ${MY_SLICER_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT DEFINED MY_SLICER_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: NAME is mandatory")
  endif()
  foreach(file IN LISTS MY_SLICER_SCRIPTS MY_SLICER_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}" AND NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}.py")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${MY_SLICER_NAME}): there is no '${file}'")
    endif()
  endforeach()

  set(MY_SLICER_FOLDER "")
  set(MY_SLICER_SUBDIR NO_INSTALL_SUBDIR)
  if(MY_SLICER_WITH_SUBDIR)
    get_filename_component(MY_SLICER_FOLDER "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(MY_SLICER_FOLDER "/${MY_SLICER_FOLDER}")
    set(MY_SLICER_SUBDIR "")
  endif()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MY_SLICER_NAME}
    SCRIPTS ${MY_SLICER_SCRIPTS}
    RESOURCES ${MY_SLICER_RESOURCES}
    DESTINATION_DIR "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}${MY_SLICER_FOLDER}"
    INSTALL_DIR "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    ${MY_SLICER_SUBDIR}
    )

  if(BUILD_TESTING AND MY_SLICER_WITH_GENERIC_TESTS)
    slicer_add_python_unittest(SCRIPT qSlicer${MY_SLICER_NAME}ModuleGenericTest.py TESTNAME_PREFIX nomainwindow_
      SLICER_ARGS --no-main-window --disable-cli-modules)
  endif()
endmacro()
