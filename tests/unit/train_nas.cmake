# The gates of an architecture search.
fettle_test(train_nas SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_train_nas.c USES train model adapter nn exec graph store image tensor base)
