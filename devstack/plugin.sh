#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154  # devstack and settings set these
#
# devstack plugin of cinder-nec.
#
# In local.conf:
#   enable_plugin cinder-nec <URL of this repository>
#   CINDER_ENABLED_BACKENDS=nec:nec1
#   CINDER_NEC_ADDRESS=192.168.1.10
#   CINDER_NEC_PASSWORD=...
#
# lib/cinder calls configure_cinder_backend_nec for each back end of this
# type while it writes cinder.conf.

# Save trace setting
_XTRACE_CINDER_NEC=$(set +o | grep xtrace)
set +o xtrace

function _cinder_nec_known_hosts {
    echo "$CINDER_STATE_PATH/ssh_known_hosts"
}

# Options of a section, given as words of the form name=value.
function _cinder_nec_set_options {
    local section=$1
    shift
    local option
    for option in "$@"; do
        iniset "$CINDER_CONF" "$section" "${option%%=*}" "${option#*=}"
    done
}

# configure_cinder_backend_nec - Write the section of one back end
function configure_cinder_backend_nec {
    local be_name=$1
    local own=CINDER_NEC_OPTIONS_${be_name//-/_}

    if [[ -z "$CINDER_NEC_ADDRESS" ]]; then
        die $LINENO "Set CINDER_NEC_ADDRESS to the address of the array."
    fi
    if [[ -z "$CINDER_NEC_PASSWORD$CINDER_NEC_PRIVATE_KEY" ]]; then
        die $LINENO "Set CINDER_NEC_PASSWORD or CINDER_NEC_PRIVATE_KEY."
    fi

    iniset "$CINDER_CONF" "$be_name" volume_backend_name "$be_name"
    iniset "$CINDER_CONF" "$be_name" volume_driver \
        "cinder_nec.volume.$CINDER_NEC_DRIVER"
    iniset "$CINDER_CONF" "$be_name" nec_ismcli_fip "$CINDER_NEC_ADDRESS"
    iniset "$CINDER_CONF" "$be_name" nec_ssh_pool_port_number \
        "$CINDER_NEC_PORT"
    iniset "$CINDER_CONF" "$be_name" nec_ismcli_user "$CINDER_NEC_USER"
    # What is not given is left out: an empty list is not all pools.
    if [[ -n "$CINDER_NEC_PASSWORD" ]]; then
        iniset "$CINDER_CONF" "$be_name" nec_ismcli_password \
            "$CINDER_NEC_PASSWORD"
    fi
    if [[ -n "$CINDER_NEC_PRIVATE_KEY" ]]; then
        iniset "$CINDER_CONF" "$be_name" nec_ismcli_privkey \
            "$CINDER_NEC_PRIVATE_KEY"
    fi
    if [[ -n "$CINDER_NEC_POOLS" ]]; then
        iniset "$CINDER_CONF" "$be_name" nec_pools "$CINDER_NEC_POOLS"
    fi
    if [[ -n "$CINDER_NEC_BACKUP_POOLS" ]]; then
        iniset "$CINDER_CONF" "$be_name" nec_backup_pools \
            "$CINDER_NEC_BACKUP_POOLS"
    fi
    # shellcheck disable=SC2086  # words are options
    _cinder_nec_set_options "$be_name" $CINDER_NEC_OPTIONS ${!own:-}

    iniset "$CINDER_CONF" DEFAULT ssh_hosts_key_file \
        "$(_cinder_nec_known_hosts)"
    if [[ -n "$CINDER_NEC_HOST_KEY" ]]; then
        iniset "$CINDER_CONF" DEFAULT strict_ssh_host_key_policy True
    else
        iniset "$CINDER_CONF" DEFAULT strict_ssh_host_key_policy False
    fi
}

# init_cinder_backend_nec - Store the host key; the state directory is there
function init_cinder_backend_nec {
    local file
    file=$(_cinder_nec_known_hosts)
    touch "$file"
    if [[ -n "$CINDER_NEC_HOST_KEY" ]] &&
            ! grep -qxF -- "$CINDER_NEC_HOST_KEY" "$file"; then
        echo "$CINDER_NEC_HOST_KEY" >>"$file"
    fi
}

if [[ "$1" == "stack" && "$2" == "install" ]]; then
    if is_service_enabled c-vol; then
        setup_develop "$CINDER_NEC_DIR"
    fi
fi

# Restore xtrace
$_XTRACE_CINDER_NEC
