/* fettle convert: any readable checkpoint as safetensors. */
#include "cli/cli.h"

static int run(args *a)
{
    fet_status st = fet_convert(a->operands[0], a->operands[1]);

    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(json_pack("{s:o}", "out", json_text(a->operands[1])));
    printf("written %s\n", shown(a->operands[1]));
    return EXIT_DONE;
}

const command command_convert = {"convert",
                                 "IN OUT",
                                 2,
                                 2,
                                 "Rewrite a readable checkpoint as safetensors; names and metadata stay.",
                                 "fettle convert old.safetensors new.safetensors",
                                 {NULL},
                                 run};
