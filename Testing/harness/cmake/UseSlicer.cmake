# What include(${Slicer_USE_FILE}) gives an extension: its name, defaults for what it did not say, macros and ctest.
if("${PROJECT_NAME}" STREQUAL "" OR "${PROJECT_NAME}" STREQUAL "Project")
  message(FATAL_ERROR "project(<extension name>) has to come before include(\${Slicer_USE_FILE})")
endif()
set(EXTENSION_NAME "${PROJECT_NAME}")

set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")

if(NOT DEFINED EXTENSION_SUPERBUILD_BINARY_DIR)
  set(EXTENSION_SUPERBUILD_BINARY_DIR "${CMAKE_BINARY_DIR}")
endif()
foreach(name_and_default "DEPENDS|NA" "BUILD_SUBDIRECTORY|." "ENABLED|1" "CATEGORY|" "STATUS|")
  string(REPLACE "|" ";" pair "${name_and_default}")
  list(GET pair 0 name)
  list(GET pair 1 default)
  if(NOT DEFINED EXTENSION_${name})
    set(EXTENSION_${name} "${default}")
  endif()
endforeach()

include(CTest)  # BUILD_TESTING, on unless told otherwise
include("${CMAKE_CURRENT_LIST_DIR}/ctkMacroCompilePythonScript.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/SlicerMacroPythonTesting.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/SlicerMacroBuildScriptedModule.cmake")
