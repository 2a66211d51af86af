// SPDX-License-Identifier: Apache-2.0
import { testKernels } from './suite-tests.ts';

testKernels('arm64');
