/* Pictures: data.decode and data.resize, tensors named after a picture file and a recipe. Bad pictures are in
 * kind_images_bad.c. */
#include "parity/image_make.h"
#include "parity/parity.h"

#include <string.h>

static fet_status compare(parity_case *c, const char *folder, const fet__entry *e, double tolerance)
{
    fet_status st;
    image_made m;
    int64_t count;

    FET_TRY(image_make(&m, folder, e->name));
    count = (int64_t)m.height * m.width * 3;
    if (m.planes)
        st = parity_compare(c, e->name, m.planes, FET_F32, count, PARITY_ABS, 1e-6);
    else if (e->shape.rank == 3 && (e->shape.dim[0] != m.height || e->shape.dim[1] != m.width))
        st = FET_FAIL(FET_E_VERIFY, "%s is %d x %d, not %s", e->name, m.height, m.width, fet__shape_text(&e->shape));
    else
        st = parity_compare(c, e->name, m.picture.pixels, FET_U8, count, PARITY_ABS, tolerance);
    image_made_fini(&m);
done:
    return st;
}

static fet_status compare_all(parity_case *c)
{
    fet_status st = FET_OK;
    char *folder = fet__path_join(c->folder, parity_text(c, "image_dir", "images"));

    if (!folder)
        return FET_E_NOMEM;
    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = compare(c, folder, fet__tensors_at(c->t, i), 0.0);
    fet__free(folder);
    return st;
}

fet_status parity_decode(parity_case *c)
{
    return compare_all(c);
}

fet_status parity_resize(parity_case *c)
{
    return compare_all(c);
}
