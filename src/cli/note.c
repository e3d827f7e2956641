#include "cli/note.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define REASON_MAX 1000

sw_rc
sw_note_check_reason(const struct sw_config *config, struct sw_error *err)
{
	const char *reason = sw_config_string(config, SW_OPT_REASON);

	if (reason != NULL && strlen(reason) > REASON_MAX) {
		sw_fail(err, SW_CONFIG, "--reason has %zu bytes, and %d is the most", strlen(reason), REASON_MAX);
		return sw_hint(err, "say it shorter, or name the ticket that tells the rest");
	}
	return SW_OK;
}

bool
sw_note_is_foreign(const struct sw_store *store)
{
	const char *url = sw_store_url(store);
	struct stat st;

	return geteuid() == 0 && strncmp(url, "file://", 7) == 0 && stat(url + 7, &st) == 0 && st.st_uid != 0;
}

/* NULL: there is no place, or no memory.  The caller frees it. */
static char *
spool_directory(const struct sw_config *config)
{
	const char *set = sw_config_string(config, SW_OPT_LINEAGE_SPOOL), *state = getenv("XDG_STATE_HOME"),
		*home = getenv("HOME");
	const struct passwd *pw;
	char *path;

	if (set != NULL)
		return strdup(set);
	if (state != NULL && state[0] == '/')
		return asprintf(&path, "%s/seawall/lineage", state) < 0 ? NULL : path;
	if (home == NULL || home[0] != '/') {
		pw = getpwuid(geteuid());
		home = pw == NULL ? NULL : pw->pw_dir;
	}
	if (home == NULL || asprintf(&path, "%s/.local/state/seawall/lineage", home) < 0)
		return NULL;
	return path;
}

void
sw_note_act(const struct sw_config *config, struct sw_repository *repo, struct sw_lineage_act *act)
{
	SW_AUTO_FREE char *spool = spool_directory(config);
	struct sw_error failed = SW_ERROR_INIT, err = SW_ERROR_INIT;
	sw_rc rc;

	act->reason = sw_config_string(config, SW_OPT_REASON);
	act->finished_us = sw_clock_now_us();
	if (sw_note_is_foreign(repo->store))
		rc = sw_fail(&failed, SW_DENIED, "%s is another user's, who could not read what root makes there",
			sw_store_url(repo->store));
	else
		rc = sw_lineage_append(repo, act, spool != NULL ? spool : "", &failed);
	if (rc == SW_OK)
		return;
	if (spool != NULL && sw_lineage_spool(repo, act, spool, &err) == SW_OK)
		sw_log(SW_LOG_WARNING, "the lineage in the repository does not tell of this %s yet: %s; it is kept in %s, and "
			"appended by the next act of this user that may write there", act->act, failed.text, spool);
	else
		sw_log(SW_LOG_WARNING, "the lineage does not tell of this %s: %s%s%s", act->act, failed.text,
			spool != NULL ? "; " : "", err.text);
}
