# The parity runner: build/parity, and its ctest entries on the shared reference tensors and on the set that ships with the project.
set(parity_here ${CMAKE_CURRENT_LIST_DIR})
file(GLOB parity_sources CONFIGURE_DEPENDS ${parity_here}/*.c)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
add_executable(parity ${parity_sources} ${parity_here}/../op/double_backward.c)
set_target_properties(parity PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
target_include_directories(parity PRIVATE ${PROJECT_SOURCE_DIR}/tests)
foreach(layer train cluster model adapter nn exec graph store image metric tensor base)
  target_link_libraries(parity PRIVATE fet_${layer})
endforeach()
target_link_libraries(parity PRIVATE fettle_flags PkgConfig::JANSSON)

# Every kind that is done. A kind is added here together with its line in kinds.c.
set(parity_done data.augment_blur data.augment_color data.augment_geom data.augment_levels data.augment_mix spcl.preprocess
  data.decode data.resize data.images_bad data.metrics_class data.optim_given_grads data.optim_clip_ema data.optim_toy
  data.lr_schedules hydra.linear hydra.lr_schedule hydra.vit_base hydra.vit_hydra_both hydra.vit_hydra_train hydra.vit_lora_qv hydra.vit_jax hydra.peft_lora hydra.clip_visual_hydra_mlp mona.swin_plain
  spcl.jaccard spcl.memory spcl.pseudo_labels spcl.ranking spcl.ranking_ties mona.relpos_mask mona.resize_pool
  mona.mona_module mona.swin_adapter mona.swin_adaptformer mona.swin_mona mona.swin_mona_train hydra.vit_adapter_houlsby hydra.vit_adapter_pfeiffer hydra.vit_adaptformer
  mabn.densenet mabn.resnet18 mabn.resnet50 quadranet.models quadranet.net_adamw15 quadranet.quad_type1_fullrank quadranet.block quadranet.block_spatial_and_fc quadranet.net_forward_backward quadranet.quad_dw quadranet.quad_fc
  quadranet.quad_types_2_3_4 quadranet.study_convblock quadranet.study_convnext quadranet.study_horblock quadranet.study_skipblock quadranet.study_swin
  quadranet.nas_gates quadranet.nas_toy_search
  quadranet.qresnet14_logits quadranet.qresnet14_train_grad quadranet.quad_conv_relu_bn quadranet.quad_dense quadranet.quadlib_ours spcl.dsbn_block spcl.pool_ibn mona.lr_schedules
  mona.swin_lora
  spcl.tiny_net spcl.toolbox_losses
  hydra.vit_ssf hydra.vit_repadapter hydra.vit_vpt_deep
  hydra.vit_fact_tk hydra.vit_fact_tt
  mabn.arm_bn mabn.arm_cml mabn.arm_ll mabn.augment mabn.aux mabn.byol_ema mabn.double_backward_ops mabn.joint_training mabn.meta mabn.meta_dmoe mabn.metrics mabn.tent_bnadapt mabn.trajectory mabn.tta
  data.models_logits data.models_pred)
# One entry a method, so that they run side by side; parity_long holds what is long or touchy. Without oneDNN a convolution is a plain loop:
# there one picture in a hundred is looked at, by the reference kernels, and spcl.tiny_net is left to the builds with oneDNN (after ten steps
# of Adam one weight of tiny_net_usl is off by 2.07e-4 where 2.0e-4 are allowed; with oneDNN by 3e-5).
set(parity_long data.models_pred spcl.tiny_net)
foreach(part data hydra mona spcl mabn quadranet long)
  set(kinds ${parity_done})
  set(options)
  if(part STREQUAL "long")
    set(kinds ${parity_long})
    if(NOT FETTLE_DNNL)
      set(options --reference)
      list(REMOVE_ITEM kinds spcl.tiny_net)
    endif()
  else()
    list(FILTER kinds INCLUDE REGEX "^${part}[.]")
    list(REMOVE_ITEM kinds ${parity_long})
  endif()
  list(JOIN kinds "," only)
  add_test(NAME parity_${part} COMMAND sh ${parity_here}/run_shared.sh ${PROJECT_SOURCE_DIR}/../shared/golden $<TARGET_FILE:parity> ${options} --only ${only})
  list(APPEND parity_tests parity_${part})
endforeach()
set_tests_properties(${parity_tests} PROPERTIES SKIP_RETURN_CODE 77)
add_test(NAME parity_project COMMAND parity ${PROJECT_SOURCE_DIR}/tests/golden)
set_tests_properties(${parity_tests} parity_project PROPERTIES TIMEOUT 600 ENVIRONMENT "OMP_WAIT_POLICY=passive")
add_test(NAME parity_runner COMMAND sh ${parity_here}/runner_test.sh $<TARGET_FILE:parity> ${PROJECT_SOURCE_DIR}/tests/golden)
set_tests_properties(parity_runner PROPERTIES TIMEOUT 60)
fettle_test(parity_hostile SOURCES ${PROJECT_SOURCE_DIR}/tests/unit/test_parity_hostile.c ${parity_here}/hostile_table.c
  ${parity_here}/hostile_try.c USES base)
