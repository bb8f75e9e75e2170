# Tests of the layer store: NumPy's files, and checkpoints in several files.
set(here ${CMAKE_CURRENT_LIST_DIR})
fettle_test(store_npy SOURCES ${here}/test_store_npy.c USES store tensor base)
fettle_test(store_shards SOURCES ${here}/test_store_shards.c USES store tensor base)
fettle_test(store_npz SOURCES ${here}/test_store_npz.c USES store tensor base)
