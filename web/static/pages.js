// What a page does in the browser alone, without asking the server what it looks like.

// What a person does goes to the server once and in its order, whatever happens to the page's socket. In NiceGUI each
// event waits by itself until the socket is up, so that a click overtakes what was typed before it; and what was on its
// way when a connection broke is gone, though the page goes on to show it. Here they stand in one line, numbered, each
// until the server has answered for it, and all that still stand there go again over the next connection.
{
  let socket, isUp = false, last = 0;
  let line = [];
  const answered = (number) => { line = line.filter((said) => said.number > number); };
  const say = ({number, message}) => {
    const [name, content] = message;
    if (name === 'event') socket.sayNow(name, {...content, number}, () => answered(number));
    else socket.sayNow(...message);
  };
  Object.defineProperty(window, 'socket', {
    get: () => socket,
    set: (made) => {
      made.sayNow = made.emit.bind(made);
      made.emit = (...message) => {
        if (message[0] === 'handshake') return made.sayNow(...message);
        const said = {number: ++last, message};
        if (message[0] === 'event' || !isUp) line.push(said);
        if (isUp) say(said);
        return made;
      };
      made.on('disconnect', () => { isUp = false; });
      socket = made;
    },
  });
  Object.defineProperty(window, 'did_handshake', {
    get: () => socket !== undefined,
    set: (is) => {
      isUp = is;
      if (!isUp) return;
      const waiting = line;
      line = line.filter(({message}) => message[0] === 'event');
      waiting.forEach(say);
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
