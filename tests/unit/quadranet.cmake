# Quadratic networks whose blocks differ.
fettle_test(quadranet_blocks SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_quadranet_blocks.c USES model adapter nn exec graph store image tensor base)
# Windows of the memory study's blocks.
fettle_test(nn_windows SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_nn_windows.c USES exec nn kernel plan graph tensor base)
