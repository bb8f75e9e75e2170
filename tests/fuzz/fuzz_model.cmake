# Fuzz targets of the layer model.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  fettle_fuzz(metadata SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_metadata.c USES model adapter nn graph store image tensor base)
endif()
