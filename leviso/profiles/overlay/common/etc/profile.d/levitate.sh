# What git, sudoedit and systemctl edit open, unless the user says otherwise.
if [ -z "${EDITOR:-}" ] && command -v nano >/dev/null 2>&1; then
    EDITOR=nano
    export EDITOR
fi
