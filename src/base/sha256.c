/* SHA-256 in pieces, by libcrypto. What is hashed, and in which order, is the callers' matter. */
#include "base/base.h"

#include <openssl/evp.h>

struct fet__sha256 {
    EVP_MD_CTX *context;
    bool failed;
};

fet_status fet__sha256_begin(fet__sha256 **out)
{
    fet__sha256 *h;

    *out = NULL;
    if (FET_NEW(h, 1) != FET_OK)
        return FET_E_NOMEM;
    h->context = EVP_MD_CTX_new();
    if (!h->context || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h->context);
        fet__free(h);
        return FET_FAIL(FET_E_NOMEM, "libcrypto could not start a SHA-256 sum");
    }
    *out = h;
    return FET_OK;
}

void fet__sha256_add(fet__sha256 *h, const void *data, size_t bytes)
{
    if (bytes > 0 && EVP_DigestUpdate(h->context, data, bytes) != 1)
        h->failed = true;
}

/* A failed sum gives "", which equals no sum. */
void fet__sha256_end(fet__sha256 *h, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;

    if (!h)
        return;
    if (EVP_DigestFinal_ex(h->context, sum, &bytes) != 1 || bytes != 32)
        h->failed = true;
    if (hex) {
        for (unsigned i = 0; i < 32 && !h->failed; i++) {
            hex[2 * i] = digits[sum[i] >> 4];
            hex[2 * i + 1] = digits[sum[i] & 15];
        }
        hex[h->failed ? 0 : 64] = '\0';
    }
    EVP_MD_CTX_free(h->context);
    fet__free(h);
}
