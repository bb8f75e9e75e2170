# Steps under a memory budget.
fettle_test(train_budget SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_train_budget.c USES train model adapter nn exec graph store image tensor base)
