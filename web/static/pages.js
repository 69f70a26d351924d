// What a page does in the browser alone, without asking the server what it looks like.

// What a person does before the page's socket is up. In NiceGUI each such event waits by itself and asks again every
// 10 ms, so that chance says which goes first: a click overtakes what was typed before it. Here they wait in one line.
{
  let socket, isUp = false;
  const line = [];
  Object.defineProperty(window, 'socket', {
    get: () => socket,
    set: (made) => {
      const emit = made.emit.bind(made);
      made.emit = (...message) => {
        if (isUp || message[0] === 'handshake') return emit(...message);
        line.push(() => emit(...message));
        return made;
      };
      socket = made;
    },
  });
  Object.defineProperty(window, 'did_handshake', {
    get: () => socket !== undefined,
    set: (is) => {
      isUp = is;
      if (isUp) line.splice(0).forEach((send) => send());
    },
  });
}

// A table that is drawn anew while somebody goes through it by keyboard takes the link away that has the focus. It goes
// to the link of the same address, which stands in the new table.
{
  let place, address;
  document.addEventListener('focusin', (event) => {
    place = event.target.closest('.us-keeps-focus');
    address = place && event.target.getAttribute('href');
  });
  const back = () => {
    if (!address || document.activeElement !== document.body || !place.isConnected) return;
    place.querySelector(`a[href="${CSS.escape(address)}"]`)?.focus({preventScroll: true});
  };
  document.addEventListener('focusout', (event) => {
    const left = event.target;
    // Whoever leaves it stays away; what was taken away did not leave.
    setTimeout(() => { if (left.isConnected && document.activeElement === document.body) address = null; });
  });
  addEventListener('DOMContentLoaded', () => {
    new MutationObserver(back).observe(document.body, {childList: true, subtree: true});
  });
}

// Let the browser go: its session, or all sessions of the person; and leave the identity provider where that is set up.
async function signOut(everywhere) {
  const answer = await fetch(`/api/v1/session?everywhere=${everywhere}`, {method: 'DELETE'});
  location.href = answer.status === 200 ? (await answer.json()).continue_at : '/login';
}

// Copy what stands in a field. Browsers keep the clipboard for https; without it the older way is taken.
async function copyText(button, field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    if (!document.execCommand('copy')) { button.textContent = 'Press Ctrl+C'; return; }
  }
  button.textContent = 'Copied';
}
