# Tests of the layer store.
set(here ${CMAKE_CURRENT_LIST_DIR})
fettle_test(store_reader SOURCES ${here}/test_store_reader.c USES store tensor base)
fettle_test(store_open SOURCES ${here}/test_store_open.c USES store tensor base)
fettle_test(store_writer SOURCES ${here}/test_store_writer.c USES store tensor base)
fettle_test(store_recipe SOURCES ${here}/test_store_recipe.c USES store tensor base)
fettle_test(store_golden SOURCES ${here}/test_store_golden.c USES store tensor base)
fettle_test(store_zip SOURCES ${here}/test_store_zip.c USES store tensor base)
fettle_test(store_torch SOURCES ${here}/test_store_torch.c USES store tensor base)
