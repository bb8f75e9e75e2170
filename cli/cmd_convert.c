/* fettle convert: any readable checkpoint as safetensors, or a lora adapter as a PEFT folder. */
#include "cli/cli.h"

static const flag flags_convert[] = {
    {"force", NULL, "off", "replace OUT where it exists", false},
    {"weights", "NAME", "the plain ones", "which of several networks in the checkpoint, such as model_ema", false},
    {"peft", NULL, "off", "IN is a RUN or file with a lora adapter; OUT becomes a folder of Hugging Face's PEFT",
     false},
    {"model", "MODEL", "timm's names", "with --peft: the base model whose layer names are written", false},
    FLAG_END};

static int run(args *a)
{
    fet_convert_options o = {.force = args_switch(a, "force"),
                             .peft = args_switch(a, "peft"),
                             .model = args_text(a, "model"),
                             .weights = args_text(a, "weights")};
    fet_status st;

    if (o.model && !o.peft)
        return usage_error(a, "--model belongs to --peft");
    if (o.weights && o.peft)
        return usage_error(a, "--weights does not belong to --peft");
    st = fet_convert(a->operands[0], a->operands[1], &o);
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
                                 "fettle convert old.pth new.safetensors",
                                 {flags_convert},
                                 run};
