/* The verdict on hostile files: what happened against what INDEX.md says, for a whole folder. */
#include "parity/hostile.h"

#include <signal.h>
#include <string.h>

#define MEMORY_LIMIT ((int64_t)64 << 20)

/* A sanitizer takes its share. */
static double seconds_limit(void)
{
    return hostile_memory_is_unlimited() ? 2.5 : 1.0;
}

/* Words of INDEX.md that mean a message of ours in other words. */
static bool message_has(const char *message, const char *word)
{
    if (strcasestr(message, word))
        return true;
    return strcmp(word, "not an image") == 0 && strcasestr(message, "not a JPEG, PNG") != NULL;
}

static bool message_fits(const hostile_row *r, const char *message)
{
    for (int i = 0; i < r->word_count; i++)
        if (message_has(message, r->words[i]))
            return true;
    return r->word_count == 0;
}

static const char *end_words(const hostile_outcome *o)
{
    switch (o->signal) {
    case 0: return "it ended without an answer";
    case SIGALRM: return "it hung";
    case SIGSYS: return "it tried to start a program or to write a file";
    default: return "it crashed";
    }
}

/* What is wrong, or NULL. */
static const char *judge_limits(const hostile_outcome *o)
{
    if (!o->ended || o->signal)
        return end_words(o);
    if (o->seconds > seconds_limit())
        return "it took longer than a second";
    if (o->grown > MEMORY_LIMIT || (o->st == FET_E_NOMEM))
        return "it wanted more than 64 MiB";
    return NULL;
}

static const char *judge(const hostile_row *r, const hostile_outcome *o)
{
    const char *problem = judge_limits(o);

    if (problem)
        return problem;
    if (o->st != FET_OK) {
        if (!r->may_fail)
            return "it is to load";
        if (o->st != FET_E_FORMAT || !strstr(o->message, r->file))
            return "the refusal is no sentence about the file";
        return message_fits(r, o->message) ? NULL : "the message lacks the expected word";
    }
    if (!r->may_load)
        return "it is to be refused";
    if (r->warns && !o->warning[0])
        return "it is to warn";
    if (r->amount >= 0 && r->amount != o->tensors && r->amount != o->values)
        return "it has another number of tensors";
    return NULL;
}

/* The share of the limits that it took; above 1 when it is wrong. */
static double share_of(const hostile_outcome *o, const char *problem)
{
    double time = o->seconds / seconds_limit(), memory = (double)o->grown / (double)MEMORY_LIMIT;

    if (problem)
        return 2.0;
    return time > memory ? time : memory;
}

typedef struct judged {
    int count, bad;
} judged;

static fet_status judge_file(judged *j, parity_case *c, const hostile_row *r, hostile_reader read)
{
    hostile_outcome o;
    char *path = fet__path_join(c->path, r->file);
    fet_status st = path ? hostile_try(&o, path, read) : FET_E_NOMEM;
    const char *problem = st == FET_OK ? judge(r, &o) : NULL;

    if (st == FET_OK)
        parity_note(c, r->file, share_of(&o, problem), 1.0);
    j->count++;
    if (problem) {
        j->bad++;
        fprintf(stderr, "%s: %s (%s; %.2f s, %lld KiB); expected: %s\n", r->file, problem,
                o.st == FET_OK ? "loaded" : o.message, o.seconds, (long long)o.grown / 1024, r->text);
    }
    fet__free(path);
    return st;
}

static fet_status check_listed(const parity_case *c, const hostile_table *t)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, c->path);

    for (int i = 0; i < count && st == FET_OK; i++)
        if (!hostile_table_find(t, names[i]))
            st = FET_FAIL(FET_E_VERIFY, "INDEX.md does not say what must happen to %s", fet__show(names[i]));
    fet__names_free(names, count);
    return st;
}

fet_status hostile_folder(parity_case *c, const char *heading, hostile_reader read)
{
    fet_status st = FET_OK;
    hostile_table t = {0};
    judged j = {0};
    char *index = fet__path_join(c->path, "../../INDEX.md");

    if (!index)
        return FET_E_NOMEM;
    FET_TRY(hostile_table_read(&t, index, heading));
    FET_TRY(check_listed(c, &t));
    for (int i = 0; i < t.count; i++)
        FET_TRY(judge_file(&j, c, &t.rows[i], read));
    if (j.bad)
        st = FET_FAIL(FET_E_VERIFY, "%d of %d files differ (above)", j.bad, j.count);
done:
    hostile_table_fini(&t);
    fet__free(index);
    return st;
}
