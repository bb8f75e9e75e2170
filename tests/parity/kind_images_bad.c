/* data.images_bad: broken and hostile pictures, each held against INDEX.md's table. */
#include "image/image.h"
#include "parity/hostile.h"

static fet_status read_picture(const char *path, hostile_outcome *o)
{
    fet__image im;
    fet_status st = fet__image_read(&im, path, NULL);

    o->values = st == FET_OK ? (int64_t)im.height * im.width * 3 : 0;
    fet__image_fini(&im);
    return st;
}

fet_status parity_images_bad(parity_case *c)
{
    return hostile_folder(c, "Bad images", read_picture);
}
