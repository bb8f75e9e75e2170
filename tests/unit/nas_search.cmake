# The search of a network: its steps, its limits, the file of what it found.
fettle_test(nas_super SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_nas_super.c USES train model adapter nn exec graph store image tensor base)
fettle_test(nas_cost SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_nas_cost.c USES method)
fettle_test(arch_file SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_arch_file.c USES model adapter nn graph store image tensor base)
