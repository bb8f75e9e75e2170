/* Fuzz target: the file that describes a network, which --arch takes from others. What is accepted as a description gives a text that the
 * parser of architectures accepts or refuses in words; a network that both accept prints as itself. A refusal names the file. */
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__text text = {0}, first = {0}, second = {0};
    fet__arch a, again;

    if (fet__arch_file_text(&text, (const char *)data, size, "input") != FET_OK) {
        require(strstr(fet_error_message(), "input") != NULL);
    } else if (fet__arch_create(&a, text.s) == FET_OK) {
        a.class_->print(&a, &first);
        require(fet__arch_create(&again, first.s) == FET_OK);
        again.class_->print(&again, &second);
        require(strcmp(first.s, second.s) == 0);
        fet__arch_fini(&again);
        fet__arch_fini(&a);
    } else {
        require(strlen(fet_error_message()) > 0);
    }
    fet__text_fini(&text);
    fet__text_fini(&first);
    fet__text_fini(&second);
    return 0;
}
