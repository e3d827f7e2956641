/*
 * lint.h - what clang-tidy cannot see from one file: these functions never return SW_OK.
 * Included before every source by regress/lint; not part of any program.
 */
#include "base/error.h"

#define NOT_OK(err, call) \
	({ \
		sw_rc rc_ = (call); \
		if (rc_ == SW_OK || (err)->rc != rc_) \
			__builtin_unreachable(); \
		rc_; \
	})

#define sw_fail(err, ...) NOT_OK(err, (sw_fail)(err, __VA_ARGS__))
#define sw_fail_errno(err, ...) NOT_OK(err, (sw_fail_errno)(err, __VA_ARGS__))
#define sw_wrap(err, ...) NOT_OK(err, (sw_wrap)(err, __VA_ARGS__))
#define sw_hint(err, ...) NOT_OK(err, (sw_hint)(err, __VA_ARGS__))
