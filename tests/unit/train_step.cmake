# The step's program and the optimisers in it.
fettle_test(train_step SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_train_step.c USES train model adapter nn exec graph store image tensor base)
