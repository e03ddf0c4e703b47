# SPDX-License-Identifier: Apache-2.0
"""The examples of the manual's chapter 8.3, as they are printed."""

from __future__ import annotations

# Each pair of every listing, good or bad.
PRINTED = (
    ('1e5e4886-f394-41dc-b55d-d3f6a40612cc', 'vIr9qyun7XKLVoCOWAgYu'),
    ('5b85dfce-76bc-4e95-a943-6c22ac8e35dc', '2mhTuYrCGy8YnJcgRQBCPs'),
    ('d1935c4b-f2c3-4f4a-8cfe-a46e95550e1e', '6NSjtgPWTieAMhvsJspHA6'),
    ('e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJlGxJzyoGgid'),
    ('fd761e59-4940-47f4-baf3-1f49b2754de4', '7iH2Q85fN8DTwFOIpKwoeC'),
    ('3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTC0Rvk1CwAsE1YAYz4M'),
    ('9f0c0fb0-6f9e-4dd5-bel0-aaac80f39733', '4q7I6V6T8c8BVFuE8UfWVP'),
    ('c8ba6f90-698b-417e-afbc-755ad0ae5922', '661fL9sXV64aGPxa4k2Yuw'),
    ('e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJlqxJzyoGgid'),
    ('fd761e59-4940-47f4-baf3-1f49b2754de4', '7ih2Q85fN8DTwFOIpKWoeC'),
    ('72d4c228-c4f1-4117-87f0-4fd3147a7d22', '3UgM53C4R8MrPgeCFcqvQA'),
    ('e5d6f9f1-2e1f-4a96-a767-ba0aa7f8eb89', '6zhUDKpLnOadJRZFTziLwP'),
    ('3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTCORvk1CwAsElYAYz4M'),
    ('9f0c0fb0-6f9e-4dd5-be10-aaac80f39733', '4q7I6V6T8c8BVFuE8UfWVP'),
    ('88333a78-ea45-4367-a4ca-c7306e7ef86e', '490MoH7rwmboMA49B9idiQ'),
    ('959135b5-90a5-4f7b-b20c-dbabf41da029', '4YEDVATDPVGFY622WIKngv'),
    ('f4331af0-7aae-4980-9cc7-b36c39898c37', '7QnTwQMf4PSPg2EmkT9gW7'),
)

# (id, name) as printed; (id, name) as they must have been; what differs.
SCANNING_ERRORS = (
    # The digit 1 read as the letter l, and g as G.
    ('e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJlGxJzyoGgid',
     'e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJ1gxJzyoGgid'),
    # 1 read as l, and g as q.
    ('e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJlqxJzyoGgid',
     'e2abcece-2863-485d-afa3-378cd43a8557', '6timV9ZImmJ1gxJzyoGgid'),
    # W read as w.
    ('fd761e59-4940-47f4-baf3-1f49b2754de4', '7iH2Q85fN8DTwFOIpKwoeC',
     'fd761e59-4940-47f4-baf3-1f49b2754de4', '7iH2Q85fN8DTwFOIpKWoeC'),
    # H read as h.
    ('fd761e59-4940-47f4-baf3-1f49b2754de4', '7ih2Q85fN8DTwFOIpKWoeC',
     'fd761e59-4940-47f4-baf3-1f49b2754de4', '7iH2Q85fN8DTwFOIpKWoeC'),
    # l read as 1.
    ('3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTC0Rvk1CwAsE1YAYz4M',
     '3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTC0Rvk1CwAsElYAYz4M'),
    # The digit 0 read as the letter O.
    ('3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTCORvk1CwAsElYAYz4M',
     '3d9d6a46-854b-490a-8a1c-e785f9d31d12', '1sGTC0Rvk1CwAsElYAYz4M'),
    # be10 of the id read as bel0, which is no UUID.
    ('9f0c0fb0-6f9e-4dd5-bel0-aaac80f39733', '4q7I6V6T8c8BVFuE8UfWVP',
     '9f0c0fb0-6f9e-4dd5-be10-aaac80f39733', '4q7I6V6T8c8BVFuE8UfWVP'),
    # l read as 1.
    ('c8ba6f90-698b-417e-afbc-755ad0ae5922', '661fL9sXV64aGPxa4k2Yuw',
     'c8ba6f90-698b-417e-afbc-755ad0ae5922', '66lfL9sXV64aGPxa4k2Yuw'),
    # p read as q.
    ('72d4c228-c4f1-4117-87f0-4fd3147a7d22', '3UgM53C4R8MrPgeCFcqvQA',
     '72d4c228-c4f1-4117-87f0-4fd3147a7d22', '3UgM53C4R8MrPgeCFcpvQA'),
)

GOOD = tuple(pair for pair in dict.fromkeys(PRINTED)
             if pair not in {bad[:2] for bad in SCANNING_ERRORS})
