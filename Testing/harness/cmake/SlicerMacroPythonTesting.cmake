# slicer_add_python_unittest(SCRIPT X.py [TESTNAME_PREFIX p] [SLICER_ARGS ...]): the ctest py_<p>X, which runs in Slicer.
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicer_add_python_unittest: unknown arguments ${MY_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(MY_TEST "${MY_SCRIPT}" NAME_WE)
  get_filename_component(MY_FOLDER "${MY_SCRIPT}" PATH)
  if("${MY_FOLDER}" STREQUAL "")
    set(MY_FOLDER "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  add_test(
    NAME py_${MY_TESTNAME_PREFIX}${MY_TEST}
    COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --no-splash --testing ${MY_SLICER_ARGS}
      --additional-module-paths "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}"
      --python-code "import slicer.testing; slicer.testing.runUnitTest(['${CMAKE_CURRENT_BINARY_DIR}', '${MY_FOLDER}'], '${MY_TEST}')"
    )
  set_property(TEST py_${MY_TESTNAME_PREFIX}${MY_TEST} PROPERTY RUN_SERIAL TRUE)
endmacro()
