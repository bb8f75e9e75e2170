/* mona.swin_plain: the plain Swin transformer, two image sizes of which one needs padding everywhere. */
#include "parity/swin_case.h"

fet_status parity_swin_plain(parity_case *c)
{
    return swin_check(c, NULL, NULL);
}
