/* fettle nas: measuring this machine for a search. */
#include "cli/cli.h"

#include "fettle/nas.h"

static const flag flags_profile[] = {
    {"out", "PROFILE", NULL, "where the measured times go, as JSON", false},
    {"arch", "A", "quadranet36_xxs", "the network whose blocks are to be chosen", false},
    {"repeats", "N", "100", "runs of a measurement", false},
    {"check", "N", "10", "networks predicted and measured; 0: none", false},
    FLAG_END};

static int run_profile(args *a)
{
    fet_nas_profile_options o = {.frame = args_text(a, "arch"), .seed = a->seed};
    const char *out = args_text(a, "out");
    fet_nas_profile_report r;
    int64_t repeats, check;
    fet_status st;

    if (!out)
        return usage_error(a, "--out PROFILE says where the times go");
    if (!args_int(a, "repeats", 1, 100000, 100, &repeats) || !args_int(a, "check", 0, 1000, 10, &check))
        return EXIT_USAGE;
    o.repeats = (int)repeats;
    o.check = check ? (int)check : -1;
    st = fet_nas_profile(&o, out, &r);
    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(json_pack("{s:s, s:i, s:f, s:i, s:f, s:f}", "profile", out, "blocks", r.entries, "fixed_ms",
                                    r.fixed_ms, "checked", r.checked, "mean_error", r.mean_error, "worst_error",
                                    r.worst_error));
    row("profile", "%s, %d blocks", out, r.entries);
    row("besides blocks", "%.3f ms", r.fixed_ms);
    if (r.checked)
        row("error", "%.1f %% in the mean, %.1f %% at worst, of %d networks", 100 * r.mean_error, 100 * r.worst_error,
            r.checked);
    return EXIT_DONE;
}

const command command_nas_profile = {"nas profile",
                                     "",
                                     0,
                                     0,
                                     "Measure the blocks of a search's space on this machine.",
                                     "fettle nas profile --out laptop.json",
                                     {flags_profile},
                                     run_profile};
