# Quadratic networks whose blocks differ.
fettle_test(quadranet_blocks SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_quadranet_blocks.c USES model adapter nn exec graph store image tensor base)
