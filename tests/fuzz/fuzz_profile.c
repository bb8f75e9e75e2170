/* Fuzz target: the profile of a device, which a search takes from others, for one small frame. What is accepted predicts a positive finite
 * time or an infinite sum of finite ones, never less than its parts; a refusal names the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/nas_int.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fet__arch frame;
    fet__nas_table t;
    double sum;

    if (!frame.class_)
        require(fet__nas_frame(&frame, "quadranet:depths=1+1+1+1,dim=1,kernel=3,expand=2,patch=1,img=8") == FET_OK);
    if (fet__nas_table_parse(&t, &frame, (const char *)data, size, "input", false) != FET_OK) {
        require(strstr(fet_error_message(), "input") != NULL);
        return 0;
    }
    require(t.foreign && strlen(t.unit) > 0 && strlen(t.unit) < sizeof t.unit && t.fixed > 0);
    sum = fet__nas_predict(&t, frame.config);
    require(sum >= t.fixed && sum >= t.block[3][0]);
    return 0;
}
