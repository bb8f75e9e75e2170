# Augmentation: operations on pictures, plans, the loss of mixed batches.
set(augment_here ${CMAKE_CURRENT_LIST_DIR})
fettle_test(image_ops SOURCES ${augment_here}/test_image_ops.c ${augment_here}/image_files.c USES image)
fettle_test(data_augment SOURCES ${augment_here}/test_data_augment.c ${augment_here}/data_fixture.c USES data image base)
fettle_test(train_mix SOURCES ${augment_here}/test_train_mix.c USES train model adapter nn exec graph store image tensor base)
fettle_test(train_average SOURCES ${augment_here}/test_train_average.c USES method store base)
