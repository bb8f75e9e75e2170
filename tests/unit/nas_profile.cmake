# Profiles of a search.
fettle_test(nas_profile SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_nas_profile.c USES method)
