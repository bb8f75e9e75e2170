/* Names of residual networks: torchvision's (ours), and files that number the children of a Sequential (methods/spcl.md 9,
 * methods/mabn.md 11). */
#include "model/import.h"

#define STEM(prefix)                                                                                                   \
    {prefix "0.*", "conv1.*", NULL}, {prefix "1.*", "bn1.*", NULL}, {prefix "4.*", "layer1.*", NULL},                  \
        {prefix "5.*", "layer2.*", NULL}, {prefix "6.*", "layer3.*", NULL},                                            \
    {                                                                                                                  \
        prefix "7.*", "layer4.*", NULL                                                                                 \
    }

static const fet__import_rule indexed[] = {STEM("base."), {0}};
static const fet__import_rule sequential[] = {STEM("features."), {"classifier.0.*", "fc.*", NULL}, {0}};
static const fet__import_rule outside[] = {{"1.*", "fc.*", NULL}, {0}}; /* beside "model.0." */

const fet__import_family fet__import_resnet = {.name = "ResNet",
                                               .anchor = {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight"},
                                               .outside = outside,
                                               .open = true};
const fet__import_family fet__import_indexed_resnet = {.name = "ResNet with numbered children",
                                                       .anchor = {"base.0.weight", "base.4.0.conv1.weight"},
                                                       .rules = indexed,
                                                       .open = true};
const fet__import_family fet__import_sequential_resnet = {.name = "ResNet as a Sequential",
                                                          .anchor = {"features.0.weight", "features.4.0.conv1.weight"},
                                                          .rules = sequential,
                                                          .open = true};
