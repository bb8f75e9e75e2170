# Every adapter on every architecture, modules that stay in a model in their fused form, and what weight decay spares.
foreach(name adapter_grid adapter_mona adapter_fused train_decay)
  fettle_test(${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${name}.c USES train model adapter nn exec graph store image tensor base)
endforeach()
