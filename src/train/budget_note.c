/* What a memory budget led to, in words, before a run begins. */
#include "train/train_int.h"

#define MIB 1048576.0

void fet__note_budget(const fet__program *p, const fet__program_info *info, int batch, int parts, int64_t budget)
{
    fet__text t = {0};

    fet__text_printf(&t, "memory: %.0f of %.0f MiB planned",
                     (double)(info->total_bytes + info->weight_bytes + info->process_bytes) / MIB,
                     (double)budget / MIB);
    if (info->repeated > 0) {
        fet__text_printf(&t, "; computed again going back: ");
        fet__program_repeats(p, &t);
        fet__text_printf(&t, " (%.1f %% more work)", info->flops > 0 ? 100 * info->repeated_flops / info->flops : 0);
    }
    if (parts > 1)
        fet__text_printf(&t, "; a batch of %d runs in %d parts of %d", batch, parts, batch / parts);
    fet__note("%s", t.failed ? "memory: planned" : t.s);
    fet__text_fini(&t);
}
