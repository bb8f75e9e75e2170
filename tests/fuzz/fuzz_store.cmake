# Fuzz targets of the layer store.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  fettle_fuzz(safetensors SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_safetensors.c USES store tensor base)
  fettle_fuzz(recipe SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_recipe.c USES store tensor base)
endif()
