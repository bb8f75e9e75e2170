# Fuzz targets of the layer store: NumPy's files, indexes of shards, small JSON files.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  foreach(reader npy npz shards json)
    fettle_fuzz(${reader} SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_${reader}.c USES store tensor base)
  endforeach()
endif()
