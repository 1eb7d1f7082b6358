# ctkMacroCompilePythonScript(TARGET_NAME t SCRIPTS ... [RESOURCES ...] DESTINATION_DIR d INSTALL_DIR i [NO_INSTALL_SUBDIR])
# Copies scripts and other files of this folder to the same relative path below d at build time, and installs d.
# CTK also byte-compiles the scripts; that changes nothing about which files are there.
function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR;GLOBAL_TARGET" "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR"
    "SCRIPTS;RESOURCES" ${ARGN})
  foreach(name TARGET_NAME SCRIPTS DESTINATION_DIR INSTALL_DIR)
    if("${MY_${name}}" STREQUAL "")
      message(FATAL_ERROR "ctkMacroCompilePythonScript: ${name} is mandatory")
    endif()
  endforeach()
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ctkMacroCompilePythonScript: unknown arguments ${MY_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT MY_SOURCE_DIR)
    set(MY_SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()

  set(scripts "")
  foreach(file IN LISTS MY_SCRIPTS)
    if(NOT file MATCHES "\\.py$")
      string(APPEND file ".py")
    endif()
    list(APPEND scripts "${file}")
  endforeach()
  harness_copy_files(Copy${MY_TARGET_NAME}PythonScriptFiles "${MY_SOURCE_DIR}" "${MY_DESTINATION_DIR}" "${scripts}")
  harness_copy_files(Copy${MY_TARGET_NAME}PythonResourceFiles "${MY_SOURCE_DIR}" "${MY_DESTINATION_DIR}"
    "${MY_RESOURCES}")

  set(ending "")
  if(MY_NO_INSTALL_SUBDIR)
    set(ending "/")  # the content of the folder, not the folder
  endif()
  install(DIRECTORY "${MY_DESTINATION_DIR}${ending}" DESTINATION "${MY_INSTALL_DIR}" COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS)
endfunction()

# A target that copies each file (relative to source) to the same place below destination.
function(harness_copy_files target source destination files)
  set(copied "")
  foreach(file IN LISTS files)
    if(IS_ABSOLUTE "${file}")
      message(FATAL_ERROR "${target}: '${file}' is absolute; CTK would put it at a path relative to the build folder")
    endif()
    add_custom_command(OUTPUT "${destination}/${file}" DEPENDS "${source}/${file}"
      COMMAND "${CMAKE_COMMAND}" -E copy "${source}/${file}" "${destination}/${file}")
    list(APPEND copied "${destination}/${file}")
  endforeach()
  if(copied)
    add_custom_target(${target} ALL DEPENDS ${copied})
  endif()
endfunction()
