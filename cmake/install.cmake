# Installs the C++ library for find_package(headrace): the archive, the headers, and a package file
# that finds the same Arrow again. The Python wheel installs its module alone, by itself.
if(HEADRACE_PYTHON)
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/headrace")
install(TARGETS headrace EXPORT headraceTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(
  DIRECTORY "${PROJECT_SOURCE_DIR}/src/headrace"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING
  PATTERN "*.h")
install(EXPORT headraceTargets NAMESPACE headrace:: DESTINATION "${_package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/headraceConfig.cmake.in"
                              headraceConfig.cmake INSTALL_DESTINATION "${_package_dir}")
write_basic_package_version_file(headraceConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/headraceConfig.cmake"
        "${PROJECT_BINARY_DIR}/headraceConfigVersion.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindPyArrowLibs.cmake"
  DESTINATION "${_package_dir}")
