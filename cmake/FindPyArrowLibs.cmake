# Finds the Arrow C++ libraries inside the pyarrow wheel of a Python environment.
#
# Asks Python for the package's folder by importlib (never imports it, never caches it), reads the
# soname version from arrow/util/config.h, and makes imported targets with Arrow's official names:
# Arrow::arrow_shared, ArrowCompute::…, ArrowAcero::…, ArrowDataset::…, Parquet::…, ArrowPython::….
#
# Input: Python_EXECUTABLE or PYARROW_DIR. Output: PyArrowLibs_FOUND, PYARROW_DIR, PYARROW_VERSION.

if(NOT PYARROW_DIR)
  if(NOT Python_EXECUTABLE)
    find_package(Python 3.10 REQUIRED COMPONENTS Interpreter)
  endif()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.util as u, os; s = u.find_spec('pyarrow'); print(os.path.dirname(s.origin) if s else '', end='')"
    OUTPUT_VARIABLE _pyarrow_dir
    RESULT_VARIABLE _pyarrow_result)
  if(_pyarrow_result EQUAL 0 AND _pyarrow_dir)
    set(PYARROW_DIR "${_pyarrow_dir}")
  endif()
endif()

if(PYARROW_DIR AND EXISTS "${PYARROW_DIR}/include/arrow/util/config.h")
  file(READ "${PYARROW_DIR}/include/arrow/util/config.h" _config)
  string(REGEX MATCH "ARROW_SO_VERSION \"([0-9]+)\"" _ "${_config}")
  set(_so "${CMAKE_MATCH_1}")
  string(REGEX MATCH "ARROW_VERSION_STRING \"([0-9.]+)\"" _ "${_config}")
  set(PYARROW_VERSION "${CMAKE_MATCH_1}")

  function(_pyarrow_library target stem)
    set(_file "${PYARROW_DIR}/lib${stem}.so.${_so}")
    if(TARGET ${target} OR NOT EXISTS "${_file}")
      return()
    endif()
    add_library(${target} SHARED IMPORTED GLOBAL)
    set_target_properties(
      ${target} PROPERTIES IMPORTED_LOCATION "${_file}" IMPORTED_SONAME "lib${stem}.so.${_so}"
                           INTERFACE_INCLUDE_DIRECTORIES "${PYARROW_DIR}/include")
    if(ARGN)
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${ARGN}")
    endif()
  endfunction()

  _pyarrow_library(Arrow::arrow_shared arrow)
  _pyarrow_library(ArrowCompute::arrow_compute_shared arrow_compute Arrow::arrow_shared)
  _pyarrow_library(ArrowAcero::arrow_acero_shared arrow_acero ArrowCompute::arrow_compute_shared)
  _pyarrow_library(Parquet::parquet_shared parquet Arrow::arrow_shared)
  _pyarrow_library(ArrowDataset::arrow_dataset_shared arrow_dataset
                   "ArrowAcero::arrow_acero_shared;Parquet::parquet_shared")
  _pyarrow_library(ArrowPython::arrow_python_shared arrow_python
                   "ArrowDataset::arrow_dataset_shared")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  PyArrowLibs
  REQUIRED_VARS PYARROW_DIR _so
  VERSION_VAR PYARROW_VERSION)
