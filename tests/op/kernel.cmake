# Kernels: every row of every table against the reference, and the reference against definitions.
foreach(part contract element move norm group choose)
  fettle_test(kernel_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kernel_${part}.c ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c USES kernel tensor base)
endforeach()
fettle_test(kernel_image SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kernel_image.c ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c USES kernel store tensor base)
