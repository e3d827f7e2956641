/*
 * credentials.h - who we are to S3: configuration, environment, shared AWS files.
 */
#ifndef SW_STORE_CREDENTIALS_H
#define SW_STORE_CREDENTIALS_H

#include "base/error.h"

struct sw_credentials {
	char *access_key, *secret_key;
	char *session_token; /* NULL if none */
	char *region;
};

/* What the configuration says; NULL: nothing. */
struct sw_credentials_params {
	const char *access_key, *secret_key, *session_token;
	const char *profile, *file, *region;
};

/*
 * Find the credentials, from the first place that has them: the parameters; the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), unless the parameters name a profile
 * or file; the profile (parameters, AWS_PROFILE, "default") of the shared credentials file
 * (parameters, AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials).
 * And the region: parameters, AWS_REGION, AWS_DEFAULT_REGION, the profile's in the credentials file or
 * in the shared configuration file (AWS_CONFIG_FILE, ~/.aws/config), us-east-1.
 *
 * SW_OK; SW_CONFIG: none, half of them, or a file that is not understood; SW_DENIED, SW_SYSTEM.
 * Error texts hold names of places, never values.  Release with sw_credentials_release.
 */
sw_rc sw_credentials_load(const struct sw_credentials_params *params, struct sw_credentials *ret_creds,
	struct sw_error *err);

/* Wipes what it frees. */
void sw_credentials_release(struct sw_credentials *creds);

#endif
