# Tests of the layers nn, adapter and model.
set(here ${CMAKE_CURRENT_LIST_DIR})
set(model_layers model adapter nn exec graph store image tensor base)
foreach(name nn_layers nn_batch_norm adapter_options adapter_merge model_arch model_files model_resize model_swin model_import model_peft)
  fettle_test(${name} SOURCES ${here}/test_${name}.c USES ${model_layers})
endforeach()
fettle_test(model_resnet SOURCES ${here}/test_model_resnet.c USES train ${model_layers})
