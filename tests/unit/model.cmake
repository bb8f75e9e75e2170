# Tests of the layers nn, adapter and model.
set(here ${CMAKE_CURRENT_LIST_DIR})
set(model_layers model adapter nn exec graph store image tensor base)
foreach(name adapter_options adapter_merge)
  fettle_test(${name} SOURCES ${here}/test_${name}.c USES ${model_layers})
endforeach()
