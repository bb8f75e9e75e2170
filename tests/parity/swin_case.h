/* A Swin transformer out of a golden file: the model from metadata, tensors under our names, one image set of the file, one graph with
 * stage maps, logits, loss and gradients. Shared by the kinds mona.swin_*: the plain one checks the backbone, the others an adapter. */
#ifndef FET_PARITY_SWIN_CASE_H
#define FET_PARITY_SWIN_CASE_H

#include "model/swin.h"
#include "parity/parity.h"

typedef struct swin_case {
    parity_case *c;
    const char *adapter; /* spec, or NULL: none */
    /* Takes a name whose backbone part is ours already ("layers.0.blocks.0.my_module_1.gamma") to the adapter's; NULL: nothing. */
    void (*rename)(char name[200]);

    fet__model *m;
    int input, inputs;       /* which image set; sets in the file that differ in size */
    int batch;               /* images of a batch */
    int64_t batches;         /* of the set: 1, or what a training golden has */
    double *images, *labels; /* of all batches; images NHWC */
} swin_case;

/* Fill in c, adapter and rename before. The model has the size of image set `input` (0: the first) and the golden's values. */
fet_status swin_open(swin_case *v, int input);
void swin_close(swin_case *v);
/* Our name for a golden's parameter. Returns out. */
const char *swin_name(const swin_case *v, const char *golden, char out[200]);
/* param.* into the store. norm{i} of a stage that the classifier does not use may be absent there. */
fet_status swin_fill(swin_case *v);
/* Batch i into a program's inputs. */
void swin_feed(const swin_case *v, void *images, fet_dtype type, int32_t *labels, int64_t i);
/* out.N.norm{i}, out.N.logits and loss.N of the set, and every grad.* of the golden when it is the last set. */
fet_status swin_check_graph(swin_case *v);
/* All of the above for every image set. */
fet_status swin_check(parity_case *c, const char *adapter, void (*rename)(char name[200]));

#endif
