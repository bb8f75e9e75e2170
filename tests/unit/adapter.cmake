# Every adapter on every architecture, and modules that stay in a model in their fused form.
foreach(name adapter_grid)
  fettle_test(${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${name}.c USES train model adapter nn exec graph store image tensor base)
endforeach()
