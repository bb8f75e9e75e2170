/* One step of an augmentation's text, WORD=VALUE,key=value or WORD:key=value, taken apart; and its values by key. Which words
 * and keys there are is augment_plan.c's. */
#ifndef FET_AUGMENT_TEXT_H
#define FET_AUGMENT_TEXT_H

#include "data/data.h"

#define FET__STEP_PAIRS 12
#define FET__STEP_TEXT 96

typedef struct fet__step_pair {
    char key[24], value[FET__STEP_TEXT]; /* key "": the value right after the word */
    int at;                              /* where it begins in the whole text, from 1 */
    bool taken;
} fet__step_pair;
typedef struct fet__step_text {
    const char *word; /* in `text` */
    char text[FET__STEP_TEXT];
    int at;
    const char *main; /* what a value right after the word is the value of; NULL: it takes none */
    fet__step_pair pairs[FET__STEP_PAIRS];
    int count;
    const char *asked[FET__STEP_PAIRS + 4];
    int asked_count;
    fet_status st; /* the first failure; the readers below do nothing after it */
} fet__step_text;

/* Take the step at spec[*at] apart (to the next '+'); *at moves behind it. */
fet_status fet__step_split(fet__step_text *s, const char *spec, size_t *at);
fet_status fet__step_fail(fet__step_text *s, int at, const char *format, ...) FET_PRINTF(3, 4);
/* The key's value where it is given; else *out stays as it is. Each says what is wrong in s->st. */
void fet__step_number(fet__step_text *s, const char *key, double low, double high, double *out);
void fet__step_whole(fet__step_text *s, const char *key, int low, int high, int *out);
/* LOW-HIGH, or one number for both; within limits and not reversed. */
void fet__step_range(fet__step_text *s, const char *key, double low, double high, double out[2]);
/* Up to `most` numbers joined by '-'. Returns how many; 0: not given. */
int fet__step_numbers(fet__step_text *s, const char *key, double low, double high, double *out, int most);
/* The place of the value among space-separated words, or -1 when it is not given. */
int fet__step_choice(fet__step_text *s, const char *key, const char *words);
/* Nothing may be left over. */
fet_status fet__step_end(fet__step_text *s);

#endif
