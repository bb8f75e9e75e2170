/* The prologue: values that depend on constants and frozen parameters alone, and packed copies of frozen inputs. They are made at the
 * first run and made again when the version of a parameter that they depend on has grown. Values that only other prologue steps read
 * are temporaries of the arena (its contents from the run before are dead by then), the rest is kept in regions of its own. */
#include "exec/exec_int.h"

/* ---- preparing ---------------------------------------------------------------------------------------------------- */

/* A once value is kept when the run proper reads it, not only packed copies and other once values. */
static void find_kept(fet__program *p, bool *kept)
{
    for (int i = 0; i < p->step_count; i++) {
        const fet__step *s = &p->steps[i];

        for (int k = 0; k < s->input_count; k++)
            if (!s->once && s->pack[k] == 0)
                kept[s->input[k].value] = true;
    }
    for (int i = 0; i < p->assign_count; i++)
        kept[p->assigns[i].value.value] = true;
    for (int i = 0; i < p->output_count; i++)
        kept[p->outputs[i].value.value] = true;
}

/* Packing follows as soon as its source is there, so that temporaries die early. */
static void add_packs_of(fet__program *p, int maker)
{
    for (int i = 0; i < p->step_count; i++) {
        const fet__step *s = &p->steps[i];

        if (s->kind == FET__STEP_PACK && p->values[s->input[0].value].step == maker)
            p->order[p->prologue_count++] = i;
    }
}

static void watch_params(fet__program *p)
{
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].root == i && p->values[i].once && p->values[i].param != NULL)
            p->watches[p->watch_count++] = (fet__watch){.param = p->values[i].param, .value = i};
}

fet_status fet__once_prepare(fet__program *p)
{
    bool *kept = NULL;
    fet_status st;

    FET_TRY(FET_NEW(kept, p->value_count));
    find_kept(p, kept);
    for (int i = 0; i < p->value_count; i++) {
        fet__value *v = &p->values[i];

        if (v->root != i || !v->once || v->region != FET__IN_ARENA || !kept[i])
            continue;
        v->region = FET__IN_ONCE;
        v->place = p->info.once_bytes;
        p->info.once_bytes += fet__rounded(v->bytes);
    }
    add_packs_of(p, -1);
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].kind == FET__STEP_KERNEL && p->steps[i].once) {
            p->order[p->prologue_count++] = i;
            add_packs_of(p, i);
        }
    FET_TRY(FET__TAKE(p, p->watches, p->value_count));
    watch_params(p);
done:
    fet__free(kept);
    return st;
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static bool find_changes(fet__program *p)
{
    bool any = !p->made_once;

    for (int i = 0; i < p->watch_count; i++) {
        fet__watch *w = &p->watches[i];

        w->changed = !p->made_once || w->param->version != w->version;
        any = any || w->changed;
        p->values[w->value].changed = w->changed;
    }
    return any;
}

/* Stale is what depends on a change, and what must be made again because a stale step reads it and it was a temporary. */
static void find_stale(fet__program *p)
{
    for (int t = 0; t < p->prologue_count; t++) {
        fet__step *s = &p->steps[p->order[t]];

        s->stale = !p->made_once;
        for (int k = 0; k < s->input_count; k++) {
            const fet__value *v = &p->values[s->input[k].value];

            s->stale = s->stale || (v->step >= 0 ? p->steps[v->step].stale : v->changed);
        }
    }
    for (int t = p->prologue_count - 1; t >= 0; t--) {
        const fet__step *s = &p->steps[p->order[t]];

        for (int k = 0; s->stale && k < s->input_count; k++) {
            const fet__value *v = &p->values[s->input[k].value];

            if (v->step >= 0 && v->region == FET__IN_ARENA)
                p->steps[v->step].stale = true;
        }
    }
}

fet_status fet__once_refresh(fet__program *p)
{
    fet_status st = FET_OK;

    if (!find_changes(p))
        return FET_OK;
    find_stale(p);
    for (int t = 0; t < p->prologue_count; t++)
        if (p->steps[p->order[t]].stale)
            FET_TRY(fet__step_run(p, &p->steps[p->order[t]]));
    for (int i = 0; i < p->watch_count; i++)
        p->watches[i].version = p->watches[i].param->version;
    p->made_once = true;
done:
    return st;
}
