# Fuzz targets of the layer data.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  fettle_fuzz(csv SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_csv.c USES data image base)
  fettle_fuzz(reid SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_reid.c USES data image base)
endif()
