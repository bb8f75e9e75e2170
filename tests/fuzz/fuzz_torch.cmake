# Fuzz targets of the layer store: zip archives, pickles, PyTorch's legacy files.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  foreach(reader zip pickle torch_legacy)
    fettle_fuzz(${reader} SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_${reader}.c USES store tensor base)
  endforeach()
endif()
