/* The pickle machine by hand-written pickles: instructions of all protocols, rules for names and calls, tensors over a storage of
 * eight floats, limits. The walk shows what was built: "path=JSON;" for each leaf, "path:type[shape];" for each tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/torch.h"

#if defined(__SANITIZE_ADDRESS__)
#define SECONDS 30 /* each small piece of memory is watched */
#else
#define SECONDS 2
#endif

static const float eight[8] = {0, 1, 2, 3, 4, 5, 6, 7};

static char shown[4096];
static double values[64]; /* of the first tensor */

static void show(const fet__tensors *t)
{
    size_t used = 0;
    shown[0] = '\0';
    for (int i = 0; i < fet__tensors_leaf_count(t); i++) {
        const char *path = NULL, *json = NULL;
        fet__tensors_leaf(t, i, &path, &json);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s=%s;", path, json);
    }
    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s:%s%s;", e->name, fet__dtype_name(e->dtype),
                                 fet__shape_text(&e->shape));
        if (i == 0 && fet__shape_count(&e->shape) <= 64)
            fet__convert(values, FET_F64, e->data, e->dtype, fet__shape_count(&e->shape));
    }
    assert_true(used < sizeof shown);
}

static bool swapped;

/* Run one pickle and show what it holds. Every storage of 32 bytes is `eight`. */
static fet_status run(const void *bytes, size_t size)
{
    fet__torch_file f = {.name = "file", .data = bytes, .size = size, .swap = swapped};
    fet__pk *root = NULL;
    assert_int_equal(fet__tensors_new(&f.t, "file"), FET_OK);
    fet__pickle_begin(&f.pickle, "file", "pickle", bytes, size);
    fet_status st = fet__pickle_run(&f.pickle, &root);
    if (st == FET_OK)
        st = fet__torch_group_storages(&f);
    for (size_t i = 0; st == FET_OK && i < f.pickle.storage_count; i++) {
        if (f.pickle.storages[i]->bytes == (int64_t)sizeof eight)
            f.pickle.storages[i]->data = (const unsigned char *)eight;
    }
    if (st == FET_OK)
        st = fet__torch_walk(&f, root);
    if (st == FET_OK)
        st = fet__tensors_seal_names(f.t);
    if (st == FET_OK)
        show(f.t);
    fet__pickle_end(&f.pickle);
    fet__tensors_close(f.t);
    return st;
}

static void expect(const void *bytes, size_t size, const char *text)
{
    if (run(bytes, size) != FET_OK)
        fail_msg("expected '%s': %s", text, fet_error_message());
    assert_string_equal(shown, text);
}

static void expect_refusal(const void *bytes, size_t size, const char *words)
{
    if (run(bytes, size) != FET_E_FORMAT)
        fail_msg("expected '%s', got '%s'", words, shown);
    if (!strstr(fet_error_message(), words) || !strstr(fet_error_message(), "file"))
        fail_msg("expected '%s': %s", words, fet_error_message());
}

#define EXPECT(bytes, text) expect(bytes, sizeof(bytes) - 1, text)
#define REFUSES(bytes, words) expect_refusal(bytes, sizeof(bytes) - 1, words)

static void constants(void **state)
{
    (void)state;
    EXPECT("N.", "=null;");
    EXPECT("\x80\x02\x88.", "=true;");
    EXPECT("I00\n.", "=false;");
    EXPECT("I-12\n.", "=-12;");
    EXPECT("I12L\n.", "=12;");
    EXPECT("L123456789012345678901234567890L\n.", "=123456789012345678901234567890;");
    EXPECT("L0009999999999999999999999L\n.", "=9999999999999999999999;");
    EXPECT("J\xfe\xff\xff\xff.", "=-2;");
    EXPECT("K\xff.", "=255;");
    EXPECT("M\x01\x02.", "=513;");
    EXPECT("\x80\x02\x8a\x00.", "=0;");
    EXPECT("\x80\x02\x8a\x02\x00\xff.", "=-256;");
    EXPECT("\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "=18446744073709551616;");
    EXPECT("\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff.", "=-18446744073709551616;");
    EXPECT("\x80\x02\x8b\x01\x00\x00\x00\x7f.", "=127;");
    EXPECT("G\x3f\xb9\x99\x99\x99\x99\x99\x9a.", "=0.1;");
    EXPECT("G\x40\x08\x00\x00\x00\x00\x00\x00.", "=3.0;");
    EXPECT("F-inf\n.", "=\"-inf\";");
}

static void strings(void **state)
{
    (void)state;
    EXPECT("S'a\\n\\x41\\101\\''\n.", "=\"a\\u000aAA'\";");
    EXPECT("S\"\"\n.", "=\"\";");
    EXPECT("V\\u00e9\xe9\\U0001F600\n.", "=\"\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80\";");
    EXPECT("U\x02hi.", "=\"hi\";");
    EXPECT("U\x02h\xff.", "=\"<opaque bytes>\";"); /* Python 2: text or bytes */
    EXPECT("X\x03\x00\x00\x00\"\\\x07.", "=\"\\\"\\\\\\u0007\";");
    EXPECT("\x80\x04\x8c\x02ok.", "=\"ok\";");
    EXPECT("\x80\x04\x8d\x02\x00\x00\x00\x00\x00\x00\x00ok.", "=\"ok\";");
    EXPECT("\x80\x03"
           "C\x02ok.",
           "=\"<opaque bytes>\";");
    EXPECT("\x80\x05\x96\x02\x00\x00\x00\x00\x00\x00\x00ok.", "=\"<opaque bytes>\";");
    REFUSES("X\x02\x00\x00\x00\xc0\x80.", "UTF-8"); /* overlong */
    REFUSES("X\x03\x00\x00\x00\xed\xa0\x80.", "UTF-8");
    REFUSES("X\x04\x00\x00\x00\xf4\x90\x80\x80.", "UTF-8");
    REFUSES("S'a\\q'\n.", "malformed");
    REFUSES("S'a\n.", "malformed");
    REFUSES("V\\ud800\n.", "malformed");
    REFUSES("I1x\n.", "malformed");
    REFUSES("F1e\n.", "malformed");
    REFUSES("I1", "truncated");
}

static void containers_and_the_memo(void **state)
{
    (void)state;
    EXPECT("(lp0\nI1\na(I2\nI3\ntp1\na.", "0=1;1/0=2;1/1=3;");
    EXPECT("(dp0\nS'a'\nI1\nsI7\nNs.", "a=1;7=null;");
    EXPECT("}(K\x01K\x02K\x03N)K\x04u.", "1=2;3=null;()=4;");
    EXPECT("](K\x01K\x02"
           "e.",
           "0=1;1=2;");
    EXPECT("\x80\x02K\x01\x85K\x02K\x03\x86K\x04K\x05K\x06\x87\x87.", "0/0=1;1/0=2;1/1=3;2/0=4;2/1=5;2/2=6;");
    EXPECT("\x80\x04\x8f\x94(K\x01\x90.", "=\"<opaque set>\";");
    EXPECT("\x80\x04(K\x01\x91.", "=\"<opaque set>\";");
    EXPECT("]q\x05K\x09"
           "ah\x05\x86.",
           "0/0=9;1/0=9;"); /* shared: seen twice */
    EXPECT("]r\x03\x00\x00\x00j\x03\x00\x00\x00"
           "a.",
           ""); /* cyclic: seen once */
    EXPECT("K\x01(K\x02K\x03"
           "1.",
           "=1;");
    EXPECT("K\x01K\x02"
           "0.",
           "=1;");
    EXPECT("K\x01\x32\x86.", "0=1;1=1;");
    EXPECT("}(K\x01\x85N\x88N\x89NG\x3f\xe0\x00\x00\x00\x00\x00\x00Nu.", "(1,)=null;True=null;False=null;0.5=null;");
    REFUSES("(K\x01", "no end");
    REFUSES("K\x01K\x02s.", "malformed");
    REFUSES("(K\x01(t0a.", "malformed"); /* takes nothing from below the mark */
    REFUSES("}(K\x01u.", "odd number");
    REFUSES("}]Ns.", "list as the key");
    REFUSES("g5\n.", "has not been stored");
    REFUSES("p-1\n.", "index of the memo");
    REFUSES("}X\x01\x00\x00\x00\x00Ns.", "NUL");
    REFUSES("\x80\x06N.", "unsupported");
    REFUSES("\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00N.", "frame");
    REFUSES("\x80\x05\x97.", "malformed");
    REFUSES("Pid\n.", "malformed");
    REFUSES("\x80\x02\x82\x01.", "malformed");
}

static void names_and_calls(void **state)
{
    (void)state;
    EXPECT("ccollections\nOrderedDict\n)R(K\x01K\x02u.", "1=2;");
    EXPECT("ccollections\nOrderedDict\n](](K\x01K\x02"
           "ee\x85R.",
           "1=2;"); /* Python 2: a list of pairs */
    EXPECT("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(K\x01]u.", "1=[];");
    EXPECT("ccollections\nCounter\n}K\x01K\x02s\x85R.", "1=2;");
    EXPECT("c__builtin__\nset\n]\x85R.", "=\"<opaque set>\";");
    EXPECT("cbuiltins\ntuple\n](K\x01"
           "e\x85R.",
           "0=1;");
    EXPECT("c_codecs\nencode\n(X\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1tR.", "=\"<opaque bytes>\";");
    EXPECT("cpathlib\nPosixPath\n(X\x01\x00\x00\x00"
           "atR.",
           "=\"<opaque PosixPath>\";");
    EXPECT("ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR}b.",
           "=\"<opaque Namespace>\";");
    EXPECT("\x80\x02"
           "cmy\nThing\n)\x81}b](K\x01"
           "eK\x02"
           "a.",
           "0=1;1=2;");
    EXPECT("\x80\x04\x8c\x02my\x8c\x09Outer.Inn\x93)}\x92.", "=\"<opaque Inn>\";");
    EXPECT("(imy\nThing\n.", "=\"<opaque Thing>\";");
    EXPECT("(cmy\nThing\nK\x01o.", "=\"<opaque Thing>\";");
    EXPECT("cmy\nThing\n)RK\x01"
           "a(K\x01K\x02"
           "e.",
           "=\"<opaque Thing>\";"); /* a subclass of list: swallows items */
    EXPECT("ctorch\nSize\n((K\x02K\x03ttR.", "0=2;1=3;");
    EXPECT("ctorch\nbfloat16\n.", "=\"<opaque dtype>\";");
    EXPECT("ctorch\ndevice\n(X\x03\x00\x00\x00"
           "cputR.",
           "=\"<opaque device>\";");
    static const char *const refused[] = {"os\nsystem",
                                          "posix\nsystem",
                                          "nt\nsystem",
                                          "subprocess\nPopen",
                                          "sys\nexit",
                                          "builtins\neval",
                                          "__builtin__\nopen",
                                          "torch\nload",
                                          "torch.hub\nload",
                                          "importlib\nimport_module",
                                          "torch.nn.modules.linear\nLinear",
                                          "os.path\njoin",
                                          "torch._C\n_nothing"};
    for (size_t i = 0; i < FET_COUNT(refused); i++) {
        char pickle[64], name[64];
        int size = snprintf(pickle, sizeof pickle, "c%s\n0N.", refused[i]);
        snprintf(name, sizeof name, "%s", refused[i]);
        *strchr(name, '\n') = '.';
        if (strncmp(name, "__builtin__", 11) == 0)
            snprintf(name, sizeof name, "builtins.open");
        expect_refusal(pickle, (size_t)size, "refused");
        assert_non_null(strstr(fet_error_message(), name));
    }
    REFUSES("K\x01)R.", "is called");
    REFUSES("ctorch\nfloat16\n)R.", "is called");
    REFUSES("cmy\nThing\nK\x01R.", "not a tuple");
    REFUSES("c\nThing\n.", "malformed");
    REFUSES("c__torch__.Net\nM\n.", "TorchScript");
    REFUSES("(X\x06\x00\x00\x00moduleNtQ.", "state_dict");
}

static void numpy_scalars(void **state)
{
    (void)state;
#define SCALAR(type, order, bytes)                                                                                     \
    "\x80\x03"                                                                                                         \
    "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00" type                                          \
    "K\x00K\x01tR(K\x03X\x01\x00\x00\x00" order "NtbC" bytes "tR."
    EXPECT(SCALAR("f4", "<", "\x04\x00\x00\xc0\x3f"), "=1.5;");
    EXPECT(SCALAR("f4", ">", "\x04\x3f\xc0\x00\x00"), "=1.5;");
    EXPECT(SCALAR("f2", "<", "\x02\x00\x3e"), "=1.5;");
    EXPECT(SCALAR("i8", "<", "\x08\xff\xff\xff\xff\xff\xff\xff\xff"), "=-1;");
    EXPECT(SCALAR("u8", "<", "\x08\xff\xff\xff\xff\xff\xff\xff\xff"), "=18446744073709551615;");
    EXPECT(SCALAR("u1", "|", "\x01\xff"), "=255;");
    EXPECT(SCALAR("b1", "|", "\x01\x01"), "=true;");
    EXPECT(SCALAR("c8", "<", "\x01\x01"), "=\"<opaque scalar>\";");
    REFUSES(SCALAR("f4", "<", "\x02\x00\x00"), "malformed");
}

/* A tensor over eight floats: offset, sizes and strides as pickled numbers. */
#define STORAGE                                                                                                        \
    "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00"                               \
    "cpuK\x08tQ"
#define V2(offset, sizes, strides)                                                                                     \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K" offset "(" sizes "t(" strides "t\x89NtR"

static void expect_values(const double *wanted, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(values[i] == wanted[i]);
}

static void tensors(void **state)
{
    (void)state;
    EXPECT(V2("\x02", "K\x02K\x03", "K\x03K\x01") ".", ":f32[2, 3];");
    expect_values((double[]){2, 3, 4, 5, 6, 7}, 6);
    EXPECT(V2("\x00", "K\x03K\x02", "K\x01K\x03") ".", ":f32[3, 2];"); /* transposed */
    expect_values((double[]){0, 3, 1, 4, 2, 5}, 6);
    EXPECT(V2("\x01", "K\x02K\x02K\x01", "K\x00K\x04K\x09") ".", ":f32[2, 2, 1];"); /* expanded */
    expect_values((double[]){1, 5, 1, 5}, 4);
    EXPECT(V2("\x03", "", "") ".", ":f32[];");
    expect_values((double[]){3}, 1);
    EXPECT(V2("\x08", "K\x00", "K\x01") ".", ":f32[0];");
    EXPECT("ctorch._utils\n_rebuild_tensor\n(" STORAGE "K\x04(K\x02t(K\x01ttR.", ":f32[2];");
    expect_values((double[]){4, 5}, 2);
    EXPECT("ctorch._utils\n_rebuild_parameter\n(" V2("\x04", "K\x02", "K\x01") "\x88NtR.", ":f32[2];");
    EXPECT("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch.nn.parameter\nParameter\n"
           "(" STORAGE "K\x06(K\x02t(K\x01t\x89Nt}tR.",
           ":f32[2];");
    expect_values((double[]){6, 7}, 2);
    EXPECT("}(X\x01\x00\x00\x00"
           "a" V2("\x00", "K\x02", "K\x01") "q\x01X\x01\x00\x00\x00"
                                            "bh\x01u.",
           "a:f32[2];b:f32[2];");
    REFUSES(V2("\x09", "K\x00", "K\x01") ".", "malformed");
    REFUSES(V2("\x07", "K\x02", "K\x01") ".", "reaches element 8");
    REFUSES(V2("\x00", "K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01",
               "K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01") ".",
            "unsupported");
#define MARKED(bit)                                                                                                    \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\x00(K\x02t(K\x01t\x89N}X\x03\x00\x00\x00neg" bit "stR."
    EXPECT(MARKED("\x89"), ":f32[2];");
    REFUSES(MARKED("\x88"), "unsupported");
    REFUSES("}(X\x01\x00\x00\x00"
            "1" V2("\x00", "K\x02", "K\x01") "K\x01" V2("\x00", "K\x02", "K\x01") "u.",
            "duplicate tensor name");
}

/* A storage of bytes, whose tensors say what they are; an old storage that is a part of another. */
static void other_storages(void **state)
{
    (void)state;
#define BYTES                                                                                                          \
    "(X\x07\x00\x00\x00storagectorch.storage\nUntypedStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00"                     \
    "cpuK\x20tQ"
    EXPECT("ctorch._utils\n_rebuild_tensor_v3\n(" BYTES "K\x02(K\x03t(K\x02t\x89Nctorch\nfloat32\ntR.", ":f32[3];");
    expect_values((double[]){2, 4, 6}, 3);
    EXPECT("ctorch._utils\n_rebuild_tensor_v3\n(" BYTES "K\x02(K\x02t(K\x01t\x89Nctorch\nuint16\ntR.", ":u16[2];");
    expect_values((double[]){0, 0x3f80}, 2);
    REFUSES("ctorch._utils\n_rebuild_tensor_v3\n(" BYTES "K\x02(K\x07t(K\x01t\x89Nctorch\nfloat32\ntR.", "malformed");
    REFUSES("ctorch._utils\n_rebuild_tensor_v3\n(" BYTES "K\x00(K\x01t(K\x01t\x89Nctorch\ncomplex64\ntR.",
            "unsupported");
    REFUSES("ctorch._utils\n_rebuild_tensor_v2\n(" BYTES "K\x00(K\x01t(K\x01t\x89NtR.", "malformed");
#define PART(begin, size)                                                                                              \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00"   \
    "\x00\x00"                                                                                                         \
    "cpuK\x08(X\x01\x00\x00\x00vK" begin "K" size "ttQK\x01(K\x02t(K\x01t\x89NtR."
    EXPECT(PART("\x04", "\x03"), ":f32[2];");
    expect_values((double[]){5, 6}, 2);
    REFUSES(PART("\x04", "\x02"), "reaches element");
    REFUSES(PART("\x04", "\x05"), "malformed");
}

static void big_endian_numbers_are_swapped(void **state)
{
    (void)state;
    swapped = true;
    assert_int_equal(run(V2("\x01", "", "") ".", sizeof(V2("\x01", "", "") ".") - 1), FET_OK);
    swapped = false;
    float one = 1, back = 0;
    unsigned char bytes[4], turned[4];
    memcpy(bytes, &one, 4);
    for (int i = 0; i < 4; i++)
        turned[i] = bytes[3 - i];
    memcpy(&back, turned, 4);
    assert_true(values[0] == (double)back);
}

/* A list of `count` pieces, each of `item`; refused with `words`, or an empty list where they are NULL. */
static void repeat(const char *item, size_t count, const char *words)
{
    size_t bytes = strlen(item), size = 0;
    char *pickle = malloc(count * bytes + 16);
    assert_non_null(pickle);
    pickle[size++] = ']';
    pickle[size++] = '(';
    for (size_t i = 0; i < count * bytes; i++)
        pickle[size++] = item[i % bytes];
    pickle[size++] = 'e';
    pickle[size++] = '.';
    double start = fet__now();
    if (words)
        expect_refusal(pickle, size, words);
    else
        expect(pickle, size, "=[];");
    double seconds = fet__now() - start;
    free(pickle);
    assert_true(seconds < SECONDS);
}

static void limits(void **state)
{
    (void)state;
    repeat("]", 3000000, "too large");
    repeat("(", 6000000, "too large");
    repeat("]\x85\x85\x85", 400000, "too large");
    repeat("(1(1(0", 100000, NULL); /* what stays small is no reason */
    char deep[300];
    memset(deep, ']', sizeof deep);
    memset(deep + 150, 'a', 149);
    deep[299] = '.';
    expect_refusal(deep, sizeof deep, "too deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants),
        cmocka_unit_test(strings),
        cmocka_unit_test(containers_and_the_memo),
        cmocka_unit_test(names_and_calls),
        cmocka_unit_test(numpy_scalars),
        cmocka_unit_test(tensors),
        cmocka_unit_test(other_storages),
        cmocka_unit_test(big_endian_numbers_are_swapped),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests_name("store.pickle", tests, NULL, NULL);
}
